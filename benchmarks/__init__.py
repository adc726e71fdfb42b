"""What the study's fast code is measured against."""
