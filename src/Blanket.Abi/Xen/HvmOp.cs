using System.Runtime.InteropServices;

namespace Blanket.Abi.Xen;

/// <summary>Sub-operations of HYPERVISOR_hvm_op (HVMOP_* of xen/include/public/hvm/hvm_op.h).</summary>
public static class HvmOp
{
    public const uint SetParameter = 0;
    public const uint GetParameter = 1;

    /// <summary>HVMOP_set_evtchn_upcall_vector: events of a vCPU arrive as this vector through its local APIC.</summary>
    public const uint SetEventUpcallVector = 23;
}

/// <summary>Parameters of HVM domains (HVM_PARAM_* of xen/include/public/hvm/params.h).</summary>
public static class HvmParameter
{
    /// <summary>How events are delivered to vCPUs without an upcall vector of their own.</summary>
    public const uint CallbackInterrupt = 0;
    public const uint StoreFrame = 1;
    public const uint StoreEventChannel = 2;
    public const uint ConsoleFrame = 17;
    public const uint ConsoleEventChannel = 18;

    /// <summary>HVM_PARAM_CALLBACK_TYPE_VECTOR: bits 56-63 of <see cref="CallbackInterrupt"/>; the vector is in bits 0-7.</summary>
    public const ulong CallbackTypeVector = 2UL << 56;

    /// <summary>HVM_PARAM_CALLBACK_TYPE_GSI with the keyboard's interrupt line, which nothing listens to: a callback in name only.</summary>
    public const ulong UnusedCallback = 1;
}

/// <summary>struct xen_hvm_param; 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvmParameterArgument
{
    public ushort Domain;
    public ushort Padding0;
    public uint Index;
    public ulong Value;
}

/// <summary>struct xen_hvm_evtchn_upcall_vector; 8 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct HvmEventUpcallVector
{
    public uint Vcpu;
    public byte Vector;
    private readonly byte _padding0;
    private readonly ushort _padding1;
}
