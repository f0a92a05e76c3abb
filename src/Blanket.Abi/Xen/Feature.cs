namespace Blanket.Abi.Xen;

/// <summary>Bit numbers of the feature map of XENVER_get_features and of the ELF notes (xen/include/public/features.h).</summary>
public static class Feature
{
    public const int WritablePageTables = 0;
    public const int WritableDescriptorTables = 1;
    public const int AutoTranslatedPhysmap = 2;
    public const int SupervisorModeKernel = 3;
    public const int PaePgdirAbove4Gb = 4;
    public const int MmuPtUpdatePreserveAd = 5;
    public const int HighmemAssist = 6;
    public const int GrantMapAvailableBits = 7;
    public const int HvmCallbackVector = 8;
    public const int HvmSafePvclock = 9;
    public const int HvmPirqs = 10;
    public const int Dom0 = 11;
    public const int GrantMapIdentity = 12;
    public const int MemoryOpVnodeSupported = 13;
    public const int ArmSmcccSupported = 14;
    public const int LinuxRsdpUnrestricted = 15;
    public const int NotDirectMapped = 16;
    public const int DirectMapped = 17;

    /// <summary>XENFEAT_NR_SUBMAPS: 32-bit words of the map.</summary>
    public const int Submaps = 1;
}
