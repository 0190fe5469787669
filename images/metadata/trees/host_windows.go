package trees

// allLimited is false. Windows has no Unix owners, so ownership always comes
// from the metadata file.
const allLimited = false
