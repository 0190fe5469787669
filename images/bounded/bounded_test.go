package bounded_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"cloudlets/images/bounded"
)

func TestBySize(t *testing.T) {
	if text, err := io.ReadAll(bounded.BySize(strings.NewReader("four"), 4)); err != nil || string(text) != "four" {
		t.Errorf("four bytes of four: %q, %v", text, err)
	}
	_, err := io.ReadAll(bounded.BySize(strings.NewReader("fives"), 4))
	if err == nil || !strings.Contains(err.Error(), "more than 4 B") {
		t.Errorf("five bytes of four: %v", err)
	}
}

func TestByContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := bounded.ByContext(ctx, strings.NewReader("text"))
	if n, err := r.Read(make([]byte, 2)); n != 2 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	cancel()
	if n, err := r.Read(make([]byte, 2)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: read %d, %v", n, err)
	}
}
