using System;

namespace Blanket.Abi.Xen.Io;

/// <summary>Values of a frontend's node "protocol": XEN_IO_PROTO_ABI_* of io/protocols.h.</summary>
public static class ProtocolName
{
    /// <summary>XEN_IO_PROTO_ABI_X86_32: 64-bit members are aligned to 4 bytes.</summary>
    public static ReadOnlySpan<byte> X86Bits32 => "x86_32-abi"u8;

    /// <summary>XEN_IO_PROTO_ABI_X86_64: natural alignment; the default.</summary>
    public static ReadOnlySpan<byte> X86Bits64 => "x86_64-abi"u8;
}
