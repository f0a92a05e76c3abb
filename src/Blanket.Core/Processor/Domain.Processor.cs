using Blanket.Machine;

namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    /// <summary>Keeps two installations of vCPU contexts apart.</summary>
    internal SpinLock ContextLock = new(LockClass.DomainControl);

    /// <summary>What the guest wrote to port 0xcf8 last.</summary>
    internal uint PciConfigAddress { get; set; }

    /// <summary>What the guest wrote to port 0x70 last.</summary>
    internal byte CmosIndex { get; set; }
}
