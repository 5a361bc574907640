"""What training and serving must do alike: the keys, schemas and blobs of feature rows, transforms, and the check that nothing differs."""
