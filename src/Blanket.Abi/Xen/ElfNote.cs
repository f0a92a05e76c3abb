namespace Blanket.Abi.Xen;

/// <summary>Types of the ELF notes named "Xen" (xen/include/public/elfnote.h).</summary>
public static class ElfNote
{
    public const uint Info = 0;
    public const uint Entry = 1;
    public const uint HypercallPage = 2;
    public const uint VirtualBase = 3;
    public const uint PhysicalOffset = 4;
    public const uint XenVersion = 5;
    public const uint GuestOs = 6;
    public const uint GuestVersion = 7;
    public const uint Loader = 8;
    public const uint PaeMode = 9;
    public const uint Features = 10;
    public const uint BsdSymbolTable = 11;
    public const uint HypervisorStartLow = 12;
    public const uint L1MfnValid = 13;
    public const uint SuspendCancel = 14;
    public const uint InitialP2M = 15;
    public const uint ModuleStartPfn = 16;
    public const uint SupportedFeatures = 17;
    public const uint Physical32Entry = 18;
}
