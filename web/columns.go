package web

import (
	"net/http"
	"reflect"
	"strings"

	"cloudlets/images/jsontext"
	"cloudlets/web/api"
)

// machineColumns are the keys of a [api.Machine] in JSON, in the order of its fields.
var machineColumns = func() (names []string) {
	for field := range reflect.TypeFor[api.Machine]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()

// sparseMachine is a [api.Machine] of which JSON has only what is not empty.
var sparseMachine = func() reflect.Type {
	fields := reflect.VisibleFields(reflect.TypeFor[api.Machine]())
	for i, name := range machineColumns {
		fields[i].Tag = reflect.StructTag(`json:"` + name + `,omitzero"`)
	}
	return reflect.StructOf(fields)
}()

// columns are the columns of the table of machines that a query asks for, by the fields
// of [api.Machine]. Nil means all of them.
type columns []bool

func columnsOf(r *http.Request) (columns, error) {
	text := r.URL.Query().Get("columns")
	if text == "" {
		return nil, nil
	}
	asked := make(columns, len(machineColumns))
	for name := range strings.SplitSeq(text, ",") {
		known := false
		for i, column := range machineColumns {
			if column == name {
				asked[i], known = true, true
			}
		}
		if !known {
			return nil, refuse(http.StatusBadRequest, "machines have no column %.40q%s; give some of %s, with commas between them",
				name, jsontext.DidYouMean(name, machineColumns), strings.Join(machineColumns, ", "))
		}
	}
	return asked, nil
}

// of returns these columns of some machines, as a list for JSON.
func (c columns) of(rows []api.Machine) any {
	list := reflect.MakeSlice(reflect.SliceOf(sparseMachine), len(rows), len(rows))
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for field, asked := range c {
			if asked {
				list.Index(i).Field(field).Set(row.Field(field))
			}
		}
	}
	return list.Interface()
}

// sparsePage is a [api.MachinePage] with some columns.
type sparsePage struct {
	Machines any        `json:"machines"`
	Next     string     `json:"next,omitempty"`
	Counts   api.Counts `json:"counts"`
}
