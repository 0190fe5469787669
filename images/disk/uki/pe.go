package uki

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Offsets and sizes of header fields ("PE Format").
const (
	peOffsetAt   = 0x3c // in the DOS header: the offset of the PE header
	coffSize     = 24   // the signature "PE\0\0" and the COFF header
	sectionCount = 6    // in the COFF header, like the next two
	symbolTable  = 12
	optionalSize = 20
	magic64      = 0x20b

	sectionAlign    = 32 // in the optional header, like the next ones
	fileAlign       = 36
	sizeOfImage     = 56
	sizeOfHeaders   = 60
	checkSum        = 64
	directoryCount  = 108
	certificateDir  = 144
	optionalAtLeast = 152

	sectionSize = 40 // of one entry of the section table

	sectionFlags = 0x40000040 // initialised data, readable
	pageSize     = 4096
)

// errNoProgram is returned for data that does not begin like a UEFI program.
var errNoProgram = errors.New("it is not a 64-bit UEFI program")

// program holds the headers of a UEFI program and the offsets of their parts.
type program struct {
	head     []byte
	coff     int // offset of "PE\0\0"
	optional int // offset of the optional header
	table    int // offset of the section table
	sections int // number of sections
}

// parse finds the headers at the beginning of b.
func parse(b []byte) (program, error) {
	if len(b) < 2*coffSize+optionalAtLeast || b[0] != 'M' || b[1] != 'Z' {
		return program{}, errNoProgram
	}
	p := program{head: b, coff: int(binary.LittleEndian.Uint32(b[peOffsetAt:]))}
	p.optional = p.coff + coffSize
	if p.coff < 0 || p.coff > len(b)-coffSize-optionalAtLeast || string(b[p.coff:p.coff+4]) != "PE\x00\x00" ||
		binary.LittleEndian.Uint16(b[p.optional:]) != magic64 {
		return program{}, errNoProgram
	}
	size := int(binary.LittleEndian.Uint16(b[p.coff+optionalSize:]))
	p.table = p.optional + size
	p.sections = int(binary.LittleEndian.Uint16(b[p.coff+sectionCount:]))
	if size < optionalAtLeast || p.u32(directoryCount) < 5 {
		return program{}, errors.New("its header has no room for a signature: build it with five or more data directories")
	}
	if p.table+p.sections*sectionSize > len(b) {
		return program{}, errors.New("its headers are cut short: copy the file again")
	}
	return p, nil
}

// u32 returns a field of the optional header.
func (p program) u32(at int) uint32 { return binary.LittleEndian.Uint32(p.head[p.optional+at:]) }

func (p program) put32(at int, v uint32) { binary.LittleEndian.PutUint32(p.head[p.optional+at:], v) }

func (p program) imageSize() uint32 { return p.u32(sizeOfImage) }

// signed reports whether the program has a certificate table.
func (p program) signed() bool { return p.u32(certificateDir) != 0 && p.u32(certificateDir+4) != 0 }

// clone returns a program whose headers may be changed without effect on p.
func (p program) clone() program {
	p.head = bytes.Clone(p.head)
	return p
}

// placed holds the offset and size of a section in memory and in the file, in
// bytes.
type placed struct{ memory, memorySize, file, fileSize uint32 }

func (p program) section(n int) placed {
	entry := p.head[p.table+n*sectionSize:]
	return placed{
		memorySize: binary.LittleEndian.Uint32(entry[8:]), memory: binary.LittleEndian.Uint32(entry[12:]),
		fileSize: binary.LittleEndian.Uint32(entry[16:]), file: binary.LittleEndian.Uint32(entry[20:]),
	}
}

// extent returns the end of the last section in memory and in the file. A gap
// between sections in the file is an error, because firmware verifies only the
// signatures of programs without gaps.
func (p program) extent() (memory, file int64, err error) {
	var list []placed
	for n := range p.sections {
		s := p.section(n)
		memory = max(memory, int64(s.memory)+int64(max(s.memorySize, s.fileSize)))
		if s.fileSize > 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b placed) int { return cmp.Compare(a.file, b.file) })
	file = int64(p.u32(sizeOfHeaders))
	for _, s := range list {
		if int64(s.file) != file {
			return 0, 0, fmt.Errorf("its sections have a gap before byte %d", s.file)
		}
		file += int64(s.fileSize)
	}
	return memory, file, nil
}

// section is a section to be added to a program.
type section struct {
	File
	name   string
	memory int64 // bytes it needs in memory, if more than File.Size
}

// with returns the program with more sections after its own. It drops data that
// followed the last section in the file, such as symbols.
func (p program) with(whole []byte, sections []section) (File, error) {
	memory, end, err := p.extent()
	if err != nil {
		return File{}, err
	}
	align, inMemory := int64(p.u32(fileAlign)), max(int64(p.u32(sectionAlign)), pageSize)
	tableEnd := p.table + (p.sections+len(sections))*sectionSize
	switch {
	case p.signed():
		return File{}, errors.New("it is already signed, and more sections would break the signature")
	case end > int64(len(whole)):
		return File{}, errors.New("it is cut short: copy the file again")
	case align < 1 || align&(align-1) != 0 || end%align != 0:
		return File{}, fmt.Errorf("its sections do not end at a multiple of its file alignment %d, or the alignment is not a power of two", align)
	case int64(tableEnd) > int64(p.u32(sizeOfHeaders)):
		return File{}, errors.New("its header has no room for more sections")
	}
	p.head = bytes.Clone(whole[:end])
	binary.LittleEndian.PutUint64(p.head[p.coff+symbolTable:], 0) // offset and number of symbols
	parts := []File{Bytes(p.head)}
	for _, s := range sections {
		memory = roundUp(memory, inMemory)
		at := placed{memory: uint32(memory), memorySize: uint32(max(s.Size, s.memory)), file: uint32(end), fileSize: uint32(roundUp(s.Size, align))}
		memory += max(s.Size, s.memory)
		end += roundUp(s.Size, align)
		if max(memory, end) > math.MaxInt32 {
			return File{}, fmt.Errorf("section %s makes it larger than 2 GiB, which is the limit for UEFI programs", s.name)
		}
		p.add(s.name, at)
		parts = append(parts, padded(s.File, align))
	}
	p.put32(sizeOfImage, uint32(roundUp(memory, inMemory)))
	p.put32(checkSum, 0)
	return joined(parts), nil
}

// add appends an entry to the section table.
func (p *program) add(name string, at placed) {
	entry := p.head[p.table+p.sections*sectionSize:][:sectionSize]
	clear(entry)
	copy(entry[:8], name)
	for i, v := range []uint32{at.memorySize, at.memory, at.fileSize, at.file} {
		binary.LittleEndian.PutUint32(entry[8+4*i:], v)
	}
	binary.LittleEndian.PutUint32(entry[36:], sectionFlags)
	p.sections++
	binary.LittleEndian.PutUint16(p.head[p.coff+sectionCount:], uint16(p.sections))
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// padded returns f followed by zeros up to a multiple of align.
func padded(f File, align int64) File {
	zeros := roundUp(f.Size, align) - f.Size
	return joined([]File{f, Bytes(make([]byte, zeros))})
}

// joined returns the files one after the other. Reading fails if a file became
// shorter than its Size.
func joined(files []File) File {
	var total int64
	for _, f := range files {
		total += f.Size
	}
	return File{Size: total, Open: func() (io.ReadCloser, error) { return &joinedReader{files: files}, nil }}
}

type joinedReader struct {
	files []File
	open  io.ReadCloser
	left  int64 // bytes not yet read from open
}

// Read reads the files in order.
func (j *joinedReader) Read(p []byte) (int, error) {
	for j.open == nil || j.left == 0 {
		if err := j.next(); err != nil {
			return 0, err
		}
	}
	n, err := j.open.Read(p[:min(int64(len(p)), j.left)])
	j.left -= int64(n)
	if err == io.EOF && j.left > 0 {
		return n, fmt.Errorf("a file became %d bytes shorter while it was read: %w", j.left, io.ErrUnexpectedEOF)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func (j *joinedReader) next() error {
	if err := j.Close(); err != nil {
		return err
	}
	if len(j.files) == 0 {
		return io.EOF
	}
	f := j.files[0]
	r, err := f.Open()
	if err != nil {
		return err
	}
	j.files, j.open, j.left = j.files[1:], r, f.Size
	return nil
}

// Close closes the file that is being read.
func (j *joinedReader) Close() error {
	if j.open == nil {
		return nil
	}
	r := j.open
	j.open = nil
	return r.Close()
}
