package metadata

import "os"

// openText opens the metadata file, which nothing outside of the image is.
func openText(dir string) (*os.File, error) { return os.OpenInRoot(dir, Path[1:]) }
