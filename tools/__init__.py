"""Tools for working on this project; none of them is needed to run a playbook."""
