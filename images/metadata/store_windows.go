package metadata

import "os"

// openText opens the metadata file. It cannot lead out of the image.
func openText(dir string) (*os.File, error) { return os.OpenInRoot(dir, Path[1:]) }
