"""scikit-learn's handwritten digits, which need no download and no files."""
