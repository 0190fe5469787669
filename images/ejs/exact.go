package ejs

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// large is an integer that JavaScript's numbers cannot hold, or would print in
// another form.
type large struct {
	Path   []string `json:"path"` // the names and indexes that lead to it
	Digits string   `json:"digits"`
}

// largeIntegers returns the integers in the data that would change if they were
// numbers in JavaScript, as a list in JSON, or "" if there are none.
func largeIntegers(data json.RawMessage) (string, error) {
	if !mayHaveLarge(data) {
		return "", nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return "", err
	}
	all := appendLarge(nil, nil, value)
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// mayHaveLarge reports whether JSON may have an integer of more than 53 bits, by the
// form of its numbers. It is one look at each byte, since hardly any data has one.
func mayHaveLarge(data []byte) bool {
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			i = stringEnd(data, i)
		case '0' <= c && c <= '9':
			from := i
			for i < len(data) && strings.IndexByte("0123456789.", data[i]) >= 0 {
				i++
			}
			if i-from >= 16 || i < len(data) && data[i]|0x20 == 'e' {
				return true
			}
			i--
		}
	}
	return false
}

// stringEnd returns the index of the quote that ends the JSON string that begins at
// an index, or the length of data.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i
}

func appendLarge(all []large, path []string, value any) []large {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			all = appendLarge(all, append(path[:len(path):len(path)], name), inner)
		}
	case []any:
		for i, inner := range v {
			all = appendLarge(all, append(path[:len(path):len(path)], strconv.Itoa(i)), inner)
		}
	case json.Number:
		if digits, ok := exactDigits(string(v)); ok {
			all = append(all, large{path, digits})
		}
	}
	return all
}

// exactDigits returns the digits of an integer that is not the same as a number
// of JavaScript.
func exactDigits(text string) (digits string, ok bool) {
	const (
		exact   = 1 << 53 // up to here each integer is a number
		decimal = 1e21    // from here on JavaScript prints an exponent
	)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(f) < exact {
		return "", false
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() {
		return "", false
	}
	plain := !strings.ContainsAny(text, ".eE")
	if new(big.Rat).SetFloat64(f).Cmp(r) == 0 && !(plain && math.Abs(f) >= decimal) {
		return "", false
	}
	return r.Num().String(), true
}
