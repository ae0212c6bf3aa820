"""What people look at: prediction files, pictures and pages."""
