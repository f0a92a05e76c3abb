using System;
using System.Buffers.Binary;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// The hypercall page of a 64-bit PV guest: 128 stubs of 32 bytes; calling stub n is hypercall n. SYSCALL destroys rcx
/// and r11, so the stubs save them. HYPERVISOR_iret is jumped to and expects struct iret_context on the stack (xen-x86_64.h).
/// </summary>
public static class HypercallPage
{
    /// <summary>Bytes of a stub.</summary>
    public const int StubSize = 32;

    /// <summary>Number of stubs.</summary>
    public const int StubCount = Cpu.PageSize / StubSize;

    // __HYPERVISOR_iret
    private const int Iret = 23;
    private const byte Int3 = 0xcc;

    // push %rcx; push %r11; mov $0,%eax; syscall; pop %r11; pop %rcx; ret
    private static ReadOnlySpan<byte> Stub =>
        new byte[] { 0x51, 0x41, 0x53, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3 };

    private const int StubNumber = 4;

    // push %rcx; push %r11; push %rax; mov $0,%eax; syscall
    private static ReadOnlySpan<byte> IretStub =>
        new byte[] { 0x51, 0x41, 0x53, 0x50, 0xb8, 0, 0, 0, 0, 0x0f, 0x05 };

    private const int IretStubNumber = 5;

    /// <summary>Fills a page with the stubs; the rest of it is int3.</summary>
    public static void Write(Span<byte> page)
    {
        page.Fill(Int3);
        for (int i = 0; i < StubCount; i++)
        {
            Span<byte> stub = page.Slice(i * StubSize, StubSize);
            ReadOnlySpan<byte> template = i == Iret ? IretStub : Stub;
            template.CopyTo(stub);
            BinaryPrimitives.WriteUInt32LittleEndian(stub.Slice(i == Iret ? IretStubNumber : StubNumber), (uint)i);
        }
    }
}
