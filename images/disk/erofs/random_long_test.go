//go:build linux && long

package erofs_test

import "testing"

// TestLongRandomTrees has many more trees than TestRandomTrees.
func TestLongRandomTrees(t *testing.T) { randomTrees(t, 5, 60) }

// TestLongCompressedContents has many more contents than TestCompressedContents.
func TestLongCompressedContents(t *testing.T) { compressedContents(t, 3, 30) }

// TestLongZstdTrees has many more trees than TestZstdRandomTrees.
func TestLongZstdTrees(t *testing.T) { zstdTrees(t, 5, 60) }

// TestLongZstdContents has many more contents than TestZstdContents.
func TestLongZstdContents(t *testing.T) { zstdContents(t, 3, 30) }
