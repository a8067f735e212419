"""What may be new among images that a detector finds uncertain: clusters of them, and a head that knows them."""
