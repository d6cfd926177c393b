"""What the platform does from inside the mesh: probe ports, write and read rows, apply a schema."""
