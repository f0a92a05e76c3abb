using Blanket.Machine;

namespace Blanket.Core.Domains;

/// <summary>A guest, or the built-in services (<see cref="Abi.Xen.DomainId.Services"/>). Its parts live in the folders of their concepts.</summary>
public sealed partial class Domain
{
    /// <summary>The most vCPUs of a domain.</summary>
    public const int MaximumVcpus = 64;

    /// <summary>A domain with no memory and no vCPU.</summary>
    public Domain(ushort id, int vcpus)
    {
        Id = id;
        Vcpus = new Vcpu?[vcpus];
    }

    /// <summary>Its domain id.</summary>
    public ushort Id { get; }

    /// <summary>Its vCPUs by number; null where none has been created.</summary>
    public Vcpu?[] Vcpus { get; }

    /// <summary>True from the moment that it is being destroyed: operations on it fail, references to its frames are only dropped.</summary>
    public bool IsDying;
}
