package sparse_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"cloudlets/images/disk/sparse"
)

func TestInOrder(t *testing.T) {
	var b bytes.Buffer
	o := sparse.InOrder(sparse.To(&b))
	_, first := o.Write([]byte("ab"))
	_, second := o.WriteAt([]byte("c"), 4)
	_, third := o.WriteAt([]byte("d"), 5)
	if err := errors.Join(first, second, third, o.Skip(1), o.SkipTo(8), o.SkipTo(8)); err != nil {
		t.Fatal(err)
	}
	if b.String() != "ab\x00\x00cd\x00\x00" || o.Pos() != 8 {
		t.Errorf("got %q up to %d", b.String(), o.Pos())
	}
	_, err := o.WriteAt([]byte("e"), 7)
	for _, err := range []error{err, o.SkipTo(3)} {
		if err == nil || !strings.Contains(err.Error(), "byte 8") {
			t.Errorf("got %v", err)
		}
	}
	if b.Len() != 8 {
		t.Errorf("what comes too late was written: %q", b.String())
	}
}
