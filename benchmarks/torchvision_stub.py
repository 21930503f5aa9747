"""Lets timm be imported without a torchvision that fits PyTorch's build.

timm imports it for image transforms and feature extraction, which a network alone needs not.
"""

import importlib.machinery
import sys
import types


class _Names(type):
    """A class every attribute of which is its own name."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Module(types.ModuleType):
    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (), {})


class _Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def install() -> None:
    """Puts the stub in the place of torchvision, for this process."""
    sys.meta_path.insert(0, _Finder())
