"""From finished runs to statistics, figures and pages."""
