"""What trains a child: its data, its network and its reward."""
