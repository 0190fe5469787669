package ejs

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// mayBeLarge matches data that may have an integer of more than 53 bits.
var mayBeLarge = regexp.MustCompile(`\d{16}|\d[eE]`)

// large is an integer that JavaScript's numbers cannot hold, or would print in
// another form.
type large struct {
	Path   []string `json:"path"` // the names and indexes that lead to it
	Digits string   `json:"digits"`
}

// largeIntegers returns the integers in the data that would change if they were
// numbers in JavaScript.
func largeIntegers(data json.RawMessage) ([]large, error) {
	if !mayBeLarge.Match(data) {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	return appendLarge(nil, nil, value), nil
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
