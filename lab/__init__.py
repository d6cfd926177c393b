"""The lab: what stands in for the internet where no image registry can be reached (see README.md)."""
