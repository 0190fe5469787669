package pattern

import (
	"errors"
	"testing"
	"time"
)

func TestRetry(t *testing.T) {
	late := errors.New("out of time")
	for _, tt := range []struct {
		name  string
		share time.Duration // of the processor, in a try that runs out of time
		fails int           // tries that run out of time
		tries int
		want  error
	}{
		{"a busy computer", matchTimeout / 100, 3, 4, nil},
		{"a match without end on a busy computer", matchTimeout / 3, maxTries, 3, late},
		{"a match without end", matchTimeout, maxTries, 1, late},
		{"a computer that is always busy", 0, maxTries, maxTries, late},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var used time.Duration
			tries := 0
			ok, err := retry(func() (bool, error) {
				if tries++; tries <= tt.fails {
					used += tt.share
					return false, late
				}
				return true, nil
			}, func() time.Duration { return used })
			if err != tt.want || ok != (err == nil) || tries != tt.tries {
				t.Errorf("%v, %v after %d tries; want %v after %d", ok, err, tries, tt.want, tt.tries)
			}
		})
	}
}
