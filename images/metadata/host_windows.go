package metadata

// allLimited says that who owns a directory counts. Nobody does: all that the
// metadata file says is taken from it.
const allLimited = false
