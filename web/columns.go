package web

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/web/api"
)

// machineColumns returns the keys of a [api.Machine] in JSON, in the order of its
// fields.
var machineColumns = sync.OnceValue(func() (names []string) {
	for field := range reflect.TypeFor[api.Machine]().Fields() {
		names = append(names, keyOf(field))
	}
	return names
})

// keyOf is the key of a field in JSON.
func keyOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// sparseMachine returns the type of a [api.Machine] of which JSON has only what is not
// empty.
var sparseMachine = sync.OnceValue(func() reflect.Type {
	fields := reflect.VisibleFields(reflect.TypeFor[api.Machine]())
	for i := range fields {
		if keys, _ := partsOf(fields[i].Type); keys != nil {
			fields[i].Type = reflect.TypeFor[any]() // it may come in parts
		}
	}
	return sparse(fields)
})

// sparse is a struct of some fields, of which JSON has only what is not empty.
func sparse(fields []reflect.StructField) reflect.Type {
	for i, field := range fields {
		fields[i].Tag = reflect.StructTag(`json:"` + keyOf(field) + `,omitzero"`)
		fields[i].Index, fields[i].Offset = nil, 0
	}
	return reflect.StructOf(fields)
}

// columns are the columns of the table of machines that a query asks for. Nil means all
// of them.
type columns []column

// column is a field of [api.Machine], whole or in parts.
type column struct {
	field int
	parts []reflect.StructField // of the struct that it is, or points to; nil means all of it
	of    reflect.Type          // a struct of the parts
}

func columnsOf(r *http.Request) (columns, error) {
	text := r.URL.Query().Get("columns")
	if text == "" {
		return nil, nil
	}
	asked := make(map[int]*column)
	for name := range strings.SplitSeq(text, ",") {
		whole, part, inPart := strings.Cut(name, ".")
		field, err := oneOf(whole, machineColumns(), "machines have no column")
		if err != nil {
			return nil, err
		}
		c := asked[field]
		if c == nil {
			c = &column{field: field, parts: []reflect.StructField{}}
			asked[field] = c
		}
		if !inPart {
			c.parts = nil
			continue
		}
		keys, parts := partsOf(reflect.TypeFor[api.Machine]().Field(field).Type)
		i, err := oneOf(part, keys, "a machine's "+whole+" has no part")
		if err != nil {
			return nil, err
		}
		if c.parts != nil && !slices.ContainsFunc(c.parts, func(p reflect.StructField) bool { return p.Name == parts[i].Name }) {
			c.parts = append(c.parts, parts[i])
		}
	}
	list := make(columns, 0, len(asked))
	for _, c := range asked {
		if c.parts != nil {
			// In the order of the fields: types that were made once stay for ever.
			slices.SortFunc(c.parts, func(a, b reflect.StructField) int { return slices.Compare(a.Index, b.Index) })
			c.of = sparse(slices.Clone(c.parts))
		}
		list = append(list, *c)
	}
	return list, nil
}

// oneOf returns the place of a name among those that are known.
func oneOf(name string, known []string, none string) (int, error) {
	for i, k := range known {
		if k == name {
			return i, nil
		}
	}
	if len(known) == 0 {
		return 0, refuse(http.StatusBadRequest, "%s %.40q: it has none", none, name)
	}
	return 0, refuse(http.StatusBadRequest, "%s %.40q%s; give some of %s, with commas between them", none, name, jsontext.DidYouMean(name, known), strings.Join(known, ", "))
}

// partsOf are the fields of a struct, or of what a pointer points to, and their keys in
// JSON.
func partsOf(t reflect.Type) (keys []string, parts []reflect.StructField) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return nil, nil
	}
	for _, field := range reflect.VisibleFields(t) {
		if !field.Anonymous {
			keys, parts = append(keys, keyOf(field)), append(parts, field)
		}
	}
	return keys, parts
}

// write writes a page with these columns. Rows are made one after the other in the same
// place, as they are large, and go out as they are made.
func (c columns) write(w io.Writer, rows iter.Seq[*api.Machine], next string, counts api.Counts) error {
	text := bufio.NewWriterSize(w, 32<<10)
	text.WriteString(`{"machines":[`)
	to := json.NewEncoder(text)
	sparse := reflect.New(sparseMachine()).Elem()
	first := true
	for row := range rows {
		sparse.SetZero()
		for _, column := range c {
			if whole := reflect.ValueOf(row).Elem().Field(column.field); !whole.IsZero() {
				sparse.Field(column.field).Set(column.pick(whole))
			}
		}
		if !first {
			text.WriteByte(',')
		}
		first = false
		if err := to.Encode(sparse.Addr().Interface()); err != nil {
			return err
		}
	}
	text.WriteByte(']')
	rest, err := json.Marshal(api.MachinePage{Next: next, Counts: counts})
	if err != nil {
		return err
	}
	text.WriteString(strings.TrimPrefix(string(rest), `{"machines":null`))
	text.WriteByte('\n')
	return text.Flush()
}

// pick returns what the column has of a field that is not empty.
func (c column) pick(whole reflect.Value) reflect.Value {
	if c.parts == nil {
		return whole
	}
	from, to := reflect.Indirect(whole), reflect.New(c.of).Elem()
	for i, part := range c.parts {
		to.Field(i).Set(from.FieldByIndex(part.Index))
	}
	return to
}
