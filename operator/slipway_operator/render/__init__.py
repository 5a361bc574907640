"""Builders of Kubernetes objects: values in, plain dicts as the API server takes them out."""
