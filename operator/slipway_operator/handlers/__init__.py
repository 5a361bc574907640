"""The kopf shell: the only place that imports kopf."""
