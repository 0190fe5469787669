#include "textflag.h"
#include "go_asm.h"

// The program as the processor runs it. Firmware calls its first instruction with the
// handle of the image in CX and the system table in DX, by the calling convention of UEFI
// 2.10, section 2.3.4: arguments in CX, DX, R8, R9 and then from 32(SP) on, with 32 bytes
// below them for the callee; BX, BP, SI, DI and R12 to R15 are kept. No instruction
// depends on where the program lies, and the linker changes none.

// What stands where in the tables of firmware: the system table (4.3), the boot services
// (4.4), an output of text (12.4), a loaded image (9.1).
#define ST_CON_OUT 64
#define ST_BOOT_SERVICES 96
#define BS_HANDLE_PROTOCOL 152
#define BS_LOAD_IMAGE 200
#define BS_START_IMAGE 208
#define BS_UNLOAD_IMAGE 224
#define BS_CONNECT_CONTROLLER 264
#define BS_LOCATE_HANDLE_BUFFER 312
#define OUT_STRING 8
#define LI_IMAGE_BASE 64

// The frame, at which BP points, as SP does: 32 bytes for the callee, two more arguments,
// and variables.
#define FIFTH 32(BP)
#define SIXTH 40(BP)
#define GUID 48(BP)
#define GUID_HIGH 56(BP)
#define FOUND 64(BP)
#define COUNT 72(BP)
#define HANDLES 80(BP)
#define CHILD 88(BP)
#define SCREEN 96(BP)
#define FRAME 104

// R12 is the image, R13 the boot services, R14 the data, R15 whether all drivers were
// connected, BX the number of the next handle.
TEXT ·program(SB), NOSPLIT|NOFRAME, $0-0
	PUSHQ BP
	PUSHQ BX
	PUSHQ SI
	PUSHQ DI
	PUSHQ R12
	PUSHQ R13
	PUSHQ R14
	PUSHQ R15
	SUBQ  $FRAME, SP
	MOVQ  SP, BP
	MOVQ  CX, R12
	MOVQ  ST_BOOT_SERVICES(DX), R13
	MOVQ  ST_CON_OUT(DX), AX
	MOVQ  AX, SCREEN
	XORL  R15, R15

	// Where the data are, is known of the loaded image alone:
	// 5B1B31A1-9562-11D2-8E3F-00A0C969723B.
	MOVQ  $0x11D295625B1B31A1, AX
	MOVQ  AX, GUID
	MOVQ  $0x3B7269C9A0003F8E, AX
	MOVQ  AX, GUID_HIGH
	MOVQ  R12, CX
	LEAQ  GUID, DX
	LEAQ  FOUND, R8
	MOVQ  BS_HANDLE_PROTOCOL(R13), AX
	CALL  AX
	TESTQ AX, AX
	JNE   leave
	MOVQ  FOUND, AX
	MOVQ  LI_IMAGE_BASE(AX), R14
	ADDQ  $const_dataAt, R14

	MOVQ  SCREEN, CX
	TESTQ CX, CX // some firmware has none without a screen
	JEQ   search
	LEAQ  const_greetingAt(R14), DX
	MOVQ  OUT_STRING(CX), AX
	CALL  AX

search:
	// All file systems: 964E5B22-6459-11D2-8E39-00A0C969723B.
	MOVQ  $0x11D26459964E5B22, AX
	MOVQ  AX, GUID
	MOVQ  $0x3B7269C9A000398E, AX
	MOVQ  AX, GUID_HIGH
	MOVL  $2, CX // those that have a protocol
	LEAQ  GUID, DX
	XORL  R8, R8
	LEAQ  COUNT, R9
	LEAQ  HANDLES, AX
	MOVQ  AX, FIFTH
	MOVQ  BS_LOCATE_HANDLE_BUFFER(R13), AX
	CALL  AX
	TESTQ AX, AX
	JNE   searched
	XORL  BX, BX

filesystem:
	CMPQ  BX, COUNT
	JCC   searched
	// Its device path: 09576E91-6D3F-11D2-8E39-00A0C969723B.
	MOVQ  $0x11D26D3F09576E91, AX
	MOVQ  AX, GUID
	MOVQ  HANDLES, AX
	MOVQ  (AX)(BX*8), CX
	LEAQ  GUID, DX
	LEAQ  FOUND, R8
	MOVQ  BS_HANDLE_PROTOCOL(R13), AX
	CALL  AX
	INCQ  BX
	TESTQ AX, AX
	JNE   filesystem
	MOVQ  FOUND, SI

node:
	// A node of the path has a type, a subtype, and its length in two bytes (10.3.1).
	CMPB  0(SI), $0x7F
	JEQ   filesystem
	MOVWLZX 2(SI), AX
	CMPL  AX, $4
	JCS   filesystem // no path at all
	LEAQ  (SI)(AX*1), DI
	// The last node must be a partition (type 4, subtype 1) that has a GUID (10.3.5.1).
	CMPW  0(SI), $0x0104
	JNE   advance
	CMPB  41(SI), $2
	JNE   advance
	CMPB  0(DI), $0x7F
	JNE   advance
	XORL  DX, DX
	LEAQ  const_guidsAt(R14), R10
	MOVQ  24(SI), R8
	MOVQ  32(SI), R9

partition:
	CMPQ  DX, const_countAt(R14)
	JCC   filesystem
	CMPQ  R8, 0(R10)
	JNE   another
	CMPQ  R9, 8(R10)
	JEQ   own

another:
	ADDQ  $16, R10
	INCQ  DX
	JMP   partition

advance:
	MOVQ  DI, SI
	JMP   node

own:
	// The path of the boot loader is that of the partition and the name of the file.
	MOVQ  FOUND, SI
	MOVQ  DI, CX
	SUBQ  SI, CX
	CMPQ  CX, $const_pathRoom
	JHI   filesystem
	LEAQ  const_pathAt(R14), DI
	CLD
	REP
	MOVSB
	LEAQ  const_loaderAt(R14), SI
	MOVQ  const_loaderSizeAt(R14), CX
	REP
	MOVSB
	XORL  CX, CX
	MOVQ  R12, DX
	LEAQ  const_pathAt(R14), R8
	XORL  R9, R9
	MOVQ  R9, FIFTH
	MOVQ  R9, CHILD
	LEAQ  CHILD, AX
	MOVQ  AX, SIXTH
	MOVQ  BS_LOAD_IMAGE(R13), AX
	CALL  AX
	TESTQ AX, AX
	JNE   refused
	MOVQ  CHILD, CX
	XORL  DX, DX
	XORL  R8, R8
	MOVQ  BS_START_IMAGE(R13), AX
	CALL  AX
	JMP   filesystem // a boot loader that returns has failed; a mirror has another

refused:
	// There is no boot loader, or firmware does not trust it. Then it is loaded all the same
	// (7.4.1), and has to be unloaded.
	MOVQ  CHILD, CX
	TESTQ CX, CX
	JEQ   filesystem
	MOVQ  BS_UNLOAD_IMAGE(R13), AX
	CALL  AX
	JMP   filesystem

searched:
	// Firmware in a hurry connects only what it boots from. So look again, once, when
	// every driver has its devices.
	TESTL R15, R15
	JNE   giveUp
	INCL  R15
	XORL  CX, CX // all handles
	XORL  DX, DX
	XORL  R8, R8
	LEAQ  COUNT, R9
	LEAQ  HANDLES, AX
	MOVQ  AX, FIFTH
	MOVQ  BS_LOCATE_HANDLE_BUFFER(R13), AX
	CALL  AX
	TESTQ AX, AX
	JNE   giveUp
	XORL  BX, BX

connect:
	CMPQ  BX, COUNT
	JCC   search
	MOVQ  HANDLES, AX
	MOVQ  (AX)(BX*8), CX
	INCQ  BX
	XORL  DX, DX
	XORL  R8, R8
	MOVL  $1, R9
	MOVQ  BS_CONNECT_CONTROLLER(R13), AX
	CALL  AX
	JMP   connect

giveUp:
	MOVQ  SCREEN, CX
	TESTQ CX, CX
	JEQ   leave
	LEAQ  const_partingAt(R14), DX
	MOVQ  OUT_STRING(CX), AX
	CALL  AX

leave:
	// EFI_NOT_FOUND: firmware goes on to the next entry of its boot order.
	MOVQ  $0x800000000000000E, AX
	ADDQ  $FRAME, SP
	POPQ  R15
	POPQ  R14
	POPQ  R13
	POPQ  R12
	POPQ  DI
	POPQ  SI
	POPQ  BX
	POPQ  BP
	RET

	// The mark by which the end of the program is found.
	QUAD  $0x20646e6520656874
	QUAD  $0xa0d2e746920666f

// func address() unsafe.Pointer
TEXT ·address(SB), NOSPLIT, $0-8
	LEAQ ·program(SB), AX
	MOVQ AX, ret+0(FP)
	RET
