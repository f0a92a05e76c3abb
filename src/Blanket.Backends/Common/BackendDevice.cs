using Blanket.Abi;
using Blanket.Core.Domains;

namespace Blanket.Backends;

/// <summary>The owner of a guest's devices.</summary>
public abstract class BackendOwner
{
    /// <summary>
    /// A device that was destroyed or unplugged has let go of everything: no pin, no port, no request in flight, no node.
    /// Its memory may be freed after this call, which comes from <see cref="BackendBus.Process"/>.
    /// </summary>
    public abstract void Released(BackendDevice device);
}

/// <summary>The backend of one device of a guest.</summary>
public abstract class BackendDevice
{
    /// <summary>Bytes that the objects of a device take of an arena at most: those of a vif or a disk with all its queues.</summary>
    public const int ObjectSize = 768 << 10;

    private protected BackendDevice(BackendBus bus, BackendOwner owner, Domain domain)
    {
        Bus = bus;
        Owner = owner;
        Domain = domain;
    }

    /// <summary>The guest that has the device.</summary>
    public Domain Domain { get; }

    /// <summary>When <see cref="Process"/> is to be called even without news; <see cref="BackendBus.Never"/> for never.</summary>
    internal virtual ulong WakeTime => BackendBus.Never;

    private protected BackendBus Bus { get; }

    private protected BackendOwner Owner { get; }

    /// <summary>Lets go of everything, because the guest is being destroyed; <see cref="BackendOwner.Released"/> tells when that is done.</summary>
    public abstract void Destroy();

    /// <summary>Tells the device's counters.</summary>
    /// <returns>False for a device that an operator is told nothing about.</returns>
    public virtual bool TryDescribe(out ManagementDevice device)
    {
        device = default;
        return false;
    }

    /// <summary>Notes that there is news for <see cref="Process"/>.</summary>
    internal abstract void Notice();

    /// <summary>Does what waits to be done.</summary>
    internal abstract void Process();
}
