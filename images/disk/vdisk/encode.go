package vdisk

import "encoding/binary"

// encode returns a structure or a slice of numbers as it is on the disk. Its
// type has a fixed size, which is all that encoding/binary can find fault with.
func encode(order binary.ByteOrder, v any) []byte {
	data, _ := binary.Append(nil, order, v)
	return data
}
