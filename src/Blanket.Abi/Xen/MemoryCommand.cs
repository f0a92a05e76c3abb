namespace Blanket.Abi.Xen;

/// <summary>XENMEM_*: commands of HYPERVISOR_memory_op (xen/include/public/memory.h).</summary>
public static class MemoryCommand
{
    public const uint IncreaseReservation = 0;
    public const uint DecreaseReservation = 1;
    public const uint MaximumRamPage = 2;
    public const uint CurrentReservation = 3;
    public const uint MaximumReservation = 4;
    public const uint MachphysMfnList = 5;
    public const uint PopulatePhysmap = 6;
    public const uint AddToPhysmap = 7;
    public const uint MemoryMap = 9;
    public const uint MachineMemoryMap = 10;
    public const uint Exchange = 11;
    public const uint MachphysMapping = 12;
    public const uint SetMemoryMap = 13;
    public const uint MaximumGpfn = 14;
    public const uint RemoveFromPhysmap = 15;
    public const uint SetPodTarget = 16;
    public const uint GetPodTarget = 17;
    public const uint GetSharingFreedPages = 18;
    public const uint GetSharingSharedPages = 19;
    public const uint PagingOperation = 20;
    public const uint AccessOperation = 21;
    public const uint SharingOperation = 22;
    public const uint AddToPhysmapBatch = 23;
    public const uint ClaimPages = 24;
    public const uint MachphysCompatMfnList = 25;
    public const uint GetVnumaInfo = 26;
    public const uint ReservedDeviceMemoryMap = 27;
    public const uint AcquireResource = 28;

    /// <summary>MEMOP_EXTENT_SHIFT: above the command stands where a preempted call goes on.</summary>
    public const int ExtentShift = 6;

    /// <summary>MEMOP_CMD_MASK.</summary>
    public const ulong Mask = (1 << ExtentShift) - 1;
}
