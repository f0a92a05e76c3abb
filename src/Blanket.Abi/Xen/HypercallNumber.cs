namespace Blanket.Abi.Xen;

/// <summary>Hypercall numbers (__HYPERVISOR_* of xen/include/public/xen.h).</summary>
public static class HypercallNumber
{
    public const uint SetTrapTable = 0;
    public const uint MmuUpdate = 1;
    public const uint SetGdt = 2;
    public const uint StackSwitch = 3;
    public const uint SetCallbacks = 4;
    public const uint FpuTaskswitch = 5;
    public const uint SchedOpCompat = 6;
    public const uint PlatformOp = 7;
    public const uint SetDebugreg = 8;
    public const uint GetDebugreg = 9;
    public const uint UpdateDescriptor = 10;
    public const uint MemoryOp = 12;
    public const uint Multicall = 13;
    public const uint UpdateVaMapping = 14;
    public const uint SetTimerOp = 15;
    public const uint EventChannelOpCompat = 16;
    public const uint XenVersion = 17;
    public const uint ConsoleIo = 18;
    public const uint PhysdevOpCompat = 19;
    public const uint GrantTableOp = 20;
    public const uint VmAssist = 21;
    public const uint UpdateVaMappingOtherdomain = 22;
    public const uint Iret = 23;
    public const uint VcpuOp = 24;
    public const uint SetSegmentBase = 25;
    public const uint MmuextOp = 26;
    public const uint XsmOp = 27;
    public const uint NmiOp = 28;
    public const uint SchedOp = 29;
    public const uint CallbackOp = 30;
    public const uint XenoprofOp = 31;
    public const uint EventChannelOp = 32;
    public const uint PhysdevOp = 33;
    public const uint HvmOp = 34;
    public const uint Sysctl = 35;
    public const uint Domctl = 36;
    public const uint KexecOp = 37;
    public const uint TmemOp = 38;
    public const uint ArgoOp = 39;
    public const uint XenpmuOp = 40;
    public const uint DmOp = 41;
    public const uint HypfsOp = 42;

    /// <summary>__HYPERVISOR_arch_0, do_mca.</summary>
    public const uint MachineCheck = 48;

    /// <summary>__HYPERVISOR_arch_1, the continuation of a domctl.</summary>
    public const uint PagingDomctlContinuation = 49;
}
