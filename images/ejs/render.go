package ejs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"
)

// Renderer renders templates within this process. An untrusted template could
// take all of the process's memory; use [Sandbox] for these. The zero value is
// ready to use. Several goroutines may use a Renderer at the same time.
type Renderer struct {
	Limits Limits

	mu       sync.Mutex
	programs map[key]*program
}

// maxPrograms is the maximum number of compiled templates that a renderer
// keeps.
const maxPrograms = 128

// maxCalls is the maximum depth of nested function calls in a template.
const maxCalls = 2000

// Render renders a template. data is a JSON object; its members become global
// variables of the template. Faults of the template are of type [*Error].
func (r *Renderer) Render(ctx context.Context, name string, template []byte, data json.RawMessage) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k := keyOf(name, template)
	prog := r.known(k)
	if prog == nil {
		var err error
		if prog, err = r.compile(k, name, template); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.Limits.orDefault().Time, errTime)
	defer cancel()
	return r.run(ctx, prog, data)
}

// known returns the compiled program of a template, or nil.
func (r *Renderer) known(k key) *program {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.programs[k]
}

// compile compiles a template and keeps the program.
func (r *Renderer) compile(k key, name string, template []byte) (*program, error) {
	prog, err := compile(name, template)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.programs == nil || len(r.programs) >= maxPrograms {
		r.programs = map[key]*program{}
	}
	r.programs[k] = prog
	return prog, nil
}

// run runs a program with data until ctx ends; errTime as its cause is a fault
// of the template.
func (r *Renderer) run(ctx context.Context, prog *program, data json.RawMessage) ([]byte, error) {
	run, err := newRun(prog, data, r.Limits.orDefault())
	if err != nil {
		return nil, err
	}
	return run.do(ctx)
}

// run is the state of one render: a fresh JavaScript runtime and the output so
// far.
type run struct {
	prog   *program
	limits Limits
	vm     *goja.Runtime
	out    bytes.Buffer
	// keys returns the names of an object's properties. changed returns the
	// name of a prototype to which the template has added something, or "".
	keys, changed goja.Callable
}

// setup prepares a runtime for templates. It removes the clock and the
// randomness, and defines the data as constant global variables.
const setup = `(function (text, large) {
	"use strict";
	var global = globalThis;
	var forbid = function (name) {
		return function () {
			throw new Error(name + " is not for templates: the same data has to give the same file");
		};
	};
	Math.random = forbid("Math.random");
	global.Date = forbid("Date");
	var freeze = function (value) {
		if (value !== null && typeof value === "object") {
			var names = Object.keys(value);
			for (var i = 0; i < names.length; i++) freeze(value[names[i]]);
			Object.freeze(value);
		}
		return value;
	};
	var data = JSON.parse(text);
	large = large ? JSON.parse(large) : [];
	for (var i = 0; i < large.length; i++) {
		var path = large[i].path, at = data;
		for (var j = 0; j < path.length - 1; j++) at = at[path[j]];
		at[path[j]] = BigInt(large[i].digits);
	}
	for (var names = Object.keys(data), i = 0; i < names.length; i++) {
		Object.defineProperty(global, names[i], { value: freeze(data[names[i]]), enumerable: true });
	}
	var keys = Object.keys, prototypeOf = Object.getPrototypeOf;
	return {
		keys: keys,
		changed: function (all) {
			if (keys(prototypeOf({})).length) return "Object";
			if (!all) return "";
			if (keys(prototypeOf([])).length) return "Array";
			if (keys(prototypeOf("")).length) return "String";
			if (keys(prototypeOf(0)).length) return "Number";
			return keys(prototypeOf(keys)).length ? "Function" : "";
		}
	};
})`

var setupProgram = sync.OnceValue(func() *goja.Program { return goja.MustCompile("setup", setup, true) })

func newRun(prog *program, data json.RawMessage, limits Limits) (*run, error) {
	r := &run{prog: prog, limits: limits, vm: goja.New()}
	r.vm.SetMaxCallStackSize(maxCalls)
	for name, f := range map[string]func(goja.FunctionCall) goja.Value{textFunc: r.text, printFunc: r.print} {
		if err := r.vm.GlobalObject().DefineDataProperty(name, r.vm.ToValue(f), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE); err != nil {
			return nil, fmt.Errorf("prepare template %s: %w", prog.name, err)
		}
	}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); !bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, fmt.Errorf("template %s: its data is not a JSON object", prog.name)
	}
	value, err := r.vm.RunProgram(setupProgram())
	if err != nil {
		return nil, fmt.Errorf("prepare template %s: %w", prog.name, err)
	}
	prepare, _ := goja.AssertFunction(value)
	large, err := largeIntegers(data)
	if err != nil {
		return nil, fmt.Errorf("template %s: read its data: %w", prog.name, err)
	}
	tools, err := prepare(goja.Undefined(), r.vm.ToValue(string(data)), r.vm.ToValue(large))
	if err != nil {
		return nil, fmt.Errorf("template %s: pass the data to it: %w", prog.name, err)
	}
	r.keys, _ = goja.AssertFunction(tools.ToObject(r.vm).Get("keys"))
	r.changed, _ = goja.AssertFunction(tools.ToObject(r.vm).Get("changed"))
	return r, nil
}

// errTime is the cause of interrupting a render that takes too long.
var errTime = errors.New("it takes too long")

// do runs the program. An interrupt stops JavaScript code but not the built-in
// functions of the engine; the sandbox handles those.
func (r *run) do(ctx context.Context) (out []byte, err error) {
	stop := context.AfterFunc(ctx, func() { r.vm.Interrupt(context.Cause(ctx)) })
	defer stop()
	defer func() {
		// The JavaScript engine may ask for sizes that make Go's allocator
		// panic. A template must not end the process in this way.
		if p := recover(); p != nil {
			out, err = nil, r.fail(0, "the JavaScript engine gave up: %v", p)
		}
	}()
	if _, err := r.vm.RunProgram(r.prog.js); err != nil {
		return nil, r.explain(err)
	}
	if err := r.checkPrototypes(); err != nil {
		return nil, err
	}
	return r.out.Bytes(), nil
}

// checkPrototypes returns an error if a template has added a property to a
// prototype. The template's own loops would print it, and the data would seem
// to have it. Property names from the data are enough to change Object, so that
// is always checked. Changing the other prototypes requires certain words in
// the template; these take longer to check, so they are checked only if the
// words occur.
func (r *run) checkPrototypes() error {
	changed, err := r.changed(goja.Undefined(), r.vm.ToValue(r.prog.prototypes > 0))
	if err != nil {
		return r.explain(err)
	}
	if name := changed.String(); name != "" {
		return r.fail(r.prog.prototypes, "it adds to %s.prototype, which all values of that kind share", name)
	}
	return nil
}

func (r *run) fail(line int, format string, args ...any) error {
	return &Error{Template: r.prog.name, Line: line, Reason: shortened(fmt.Sprintf(format, args...))}
}

// text prints a part of the template that is not a tag.
func (r *run) text(call goja.FunctionCall) goja.Value {
	i := call.Argument(0).ToInteger()
	if i < 0 || i >= int64(len(r.prog.texts)) {
		panic(r.vm.NewTypeError(textFunc + " is not for templates"))
	}
	r.write(string(r.prog.texts[i]))
	return goja.Undefined()
}

// print prints the value of an expression.
func (r *run) print(call goja.FunctionCall) goja.Value {
	i, value := call.Argument(0).ToInteger(), call.Argument(1)
	if i < 0 || i >= int64(len(r.prog.prints)) {
		panic(r.vm.NewTypeError(printFunc + " is not for templates"))
	}
	switch {
	case goja.IsUndefined(value):
		panic(r.vm.NewTypeError("%s is undefined%s", r.prog.prints[i], r.others(call.Argument(2))))
	case goja.IsNull(value):
		return goja.Undefined()
	}
	if object, ok := value.(*goja.Object); ok && (object.ClassName() == "Object" || object.ClassName() == "Function") {
		panic(r.vm.NewTypeError("the value of %s is of type %s, which is no text: print one of its properties, or JSON.stringify(%[1]s)",
			r.prog.prints[i], strings.ToLower(object.ClassName())))
	}
	r.write(value.String())
	return goja.Undefined()
}

func (r *run) write(s string) {
	if r.out.Len()+len(s) > r.limits.Output {
		panic(r.vm.NewGoError(fmt.Errorf("the result is larger than the %d bytes allowed", r.limits.Output)))
	}
	r.out.WriteString(s)
}

// others lists the properties of the object that lacks a property.
func (r *run) others(owner goja.Value) string {
	get, ok := goja.AssertFunction(owner)
	if !ok {
		return ""
	}
	object, err := get(goja.Undefined())
	if err != nil {
		return ""
	}
	keys, err := r.keys(goja.Undefined(), object)
	if err != nil {
		return ""
	}
	var names []string
	if r.vm.ExportTo(keys, &names) != nil || len(names) == 0 {
		return "; there is nothing in it"
	}
	return "; there is " + list(names)
}

// list joins names. It shortens a long list.
func list(names []string) string {
	if len(names) > 30 {
		names = append(names[:30:30], "…")
	}
	return strings.Join(names, ", ")
}

// explain converts an error of the runtime to an error of the template.
func (r *run) explain(err error) error {
	var thrown *goja.Exception
	var interrupted *goja.InterruptedError
	var overflow *goja.StackOverflowError
	switch {
	case errors.As(err, &interrupted):
		if cause, _ := interrupted.Value().(error); cause != nil && !errors.Is(cause, errTime) {
			return fmt.Errorf("template %s: %w", r.prog.name, cause)
		}
		return r.fail(r.where(interrupted.Stack(), r.prog.busyLine), "%v: more than %v", errTime, r.limits.Time.Round(time.Millisecond))
	case errors.As(err, &overflow):
		return r.fail(r.where(overflow.Stack(), r.prog.templateLine), "its functions call one another more than %d deep", maxCalls)
	case errors.As(err, &thrown):
		return r.fail(r.where(thrown.Stack(), r.prog.templateLine), "%s", r.reason(thrown))
	}
	return r.fail(0, "%v", err)
}

// reason returns the text of an exception without the useless parts.
func (r *run) reason(thrown *goja.Exception) string {
	text := thrown.Value().String()
	if object, ok := thrown.Value().(*goja.Object); ok {
		if m := object.Get("message"); m != nil && !goja.IsUndefined(m) && m.String() != "" {
			text = m.String()
		}
		if name := object.Get("name"); name != nil && name.String() == "ReferenceError" {
			text += "; there is " + list(r.globals())
		}
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// globals returns the names of the template's variables.
func (r *run) globals() []string { return r.vm.GlobalObject().Keys() }

// where returns the template's line of the innermost stack frame that belongs
// to the template, or 0.
func (r *run) where(stack []goja.StackFrame, templateLine func(int) int) int {
	for _, frame := range stack {
		if frame.SrcName() == r.prog.name && frame.Position().Line > 0 {
			return templateLine(frame.Position().Line)
		}
	}
	return 0
}
