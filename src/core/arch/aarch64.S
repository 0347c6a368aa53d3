// Context switch for aarch64, AAPCS64. The parked frame is described in arch/aarch64.hpp.
#if defined(__aarch64__)

    .text
    .globl  stackless_switch_context
    .hidden stackless_switch_context
    .type   stackless_switch_context, %function
    .p2align 5
stackless_switch_context:  // x0: where to store the parked stack pointer, x1: target
    .cfi_startproc
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    mov     x9, sp
    str     x9, [x0]
    mrs     x10, fpcr
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    str     x10, [sp, #160]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88

    ldr     x11, [x1, #160]
    // The target's frame looks just like ours, so the CFI rules hold on either side of this line.
    mov     sp, x1
    ldp     x29, x30, [sp, #80]
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    // Writing FPCR drains the pipeline, so it is done only when the value differs.
    cmp     x10, x11
    b.ne    .Lreload_fpcr
.Lfpcr_done:
    add     sp, sp, #176
    .cfi_remember_state
    .cfi_adjust_cfa_offset -176
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret

    .cfi_restore_state
.Lreload_fpcr:
    msr     fpcr, x11
    b       .Lfpcr_done
    .cfi_endproc
    .size   stackless_switch_context, .-stackless_switch_context

    // The first switch to a new context returns to here. Nobody called this: frame pointer and
    // link register are zero and the CFI says "undefined", so every unwinder stops.
    .globl  stackless_start_context
    .hidden stackless_start_context
    .type   stackless_start_context, %function
    .p2align 4
stackless_start_context:
    .cfi_startproc
    .cfi_undefined x30
    mov     x29, #0
    mov     x30, #0
    blr     x19
    brk     #1
    .cfi_endproc
    .size   stackless_start_context, .-stackless_start_context

#endif

    .section .note.GNU-stack, "", %progbits
