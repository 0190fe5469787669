package vdisk

import "encoding/binary"

// encode encodes a structure or a slice of numbers. Its type must have a fixed size.
// For such a type encoding/binary cannot fail.
func encode(order binary.ByteOrder, v any) []byte {
	data, _ := binary.Append(nil, order, v)
	return data
}
