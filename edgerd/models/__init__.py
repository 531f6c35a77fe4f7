"""The networks: frozen teachers, the student, prototypes, position statistics, and the fusion of their maps."""
