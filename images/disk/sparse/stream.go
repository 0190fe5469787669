package sparse

import "io"

// To returns a writer for a stream without holes. Skipped zeros are written.
func To(w io.Writer) Writer {
	return &stream{w: w}
}

type stream struct {
	w     io.Writer
	zeros []byte
}

// zeroChunk is how many zeros are written at a time.
const zeroChunk = 256 << 10

func (s *stream) Write(p []byte) (int, error) { return s.w.Write(p) }

func (s *stream) Skip(n int64) error {
	if err := checkSkip(n); err != nil {
		return err
	}
	if s.zeros == nil {
		s.zeros = make([]byte, zeroChunk)
	}
	for n > 0 {
		part := min(n, zeroChunk)
		if _, err := s.w.Write(s.zeros[:part]); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
