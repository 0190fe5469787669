//go:build linux && !long

package worktree

// atLength says whether tests may take long.
const atLength = false
