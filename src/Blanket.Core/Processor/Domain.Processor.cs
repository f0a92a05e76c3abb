namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    /// <summary>What the guest wrote to port 0xcf8 last.</summary>
    internal uint PciConfigAddress { get; set; }

    /// <summary>What the guest wrote to port 0x70 last.</summary>
    internal byte CmosIndex { get; set; }
}
