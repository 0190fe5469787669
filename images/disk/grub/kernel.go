package grub

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
)

// loadKernel returns the kernel as it is in memory, from [linkAddress] to the end of
// its data. The kernel looks for modules there before it clears the memory that
// follows. It is linked for that address, so it needs no relocation.
func loadKernel(file []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if f.Class != elf.ELFCLASS32 || f.Machine != elf.EM_386 || f.Type != elf.ET_EXEC {
		return nil, fmt.Errorf("it is a %s for %s: use the file from GRUB's folder i386-pc", f.Type, f.Machine)
	}
	if f.Entry != linkAddress {
		return nil, fmt.Errorf("it starts at %#x instead of %#x: use the file from GRUB's folder i386-pc", f.Entry, linkAddress)
	}
	var memory []byte
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if memory, err = loadSection(memory, s); err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	if len(memory) == 0 {
		return nil, errors.New("it contains nothing to load: use the file from GRUB's folder i386-pc")
	}
	return memory, nil
}

// loadSection copies one section to its address.
func loadSection(memory []byte, s *elf.Section) ([]byte, error) {
	if s.Addr < linkAddress || s.Addr > kernelEnd || s.Size > kernelEnd-s.Addr {
		return nil, fmt.Errorf("its %d bytes at %#x are not between %#x and %#x: use the file from GRUB's folder i386-pc", s.Size, s.Addr, linkAddress, kernelEnd)
	}
	if s.Type == elf.SHT_NOBITS {
		return memory, nil
	}
	content, err := s.Data()
	if err != nil {
		return nil, err
	}
	at := int(s.Addr - linkAddress)
	if end := at + len(content); len(memory) < end {
		memory = append(memory, make([]byte, end-len(memory))...)
	}
	copy(memory[at:], content)
	return memory, nil
}
