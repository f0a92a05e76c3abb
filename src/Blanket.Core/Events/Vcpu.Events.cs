using Blanket.Core.Events;

namespace Blanket.Core.Domains;

public sealed partial class Vcpu
{
    /// <summary>Where its struct vcpu_info is.</summary>
    public VcpuInfoLocation Info { get; } = new();
}
