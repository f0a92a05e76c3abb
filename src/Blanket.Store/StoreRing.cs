using System;

namespace Blanket.Store;

/// <summary>
/// A domain's xenstore interface page (<c>struct xenstore_domain_interface</c>) and its event channel. The domain can change
/// every byte at any time: each call is one access, and its result is what the store checks and uses.
/// Offsets are those of <see cref="Blanket.Abi.XenStoreWire"/> and always inside the page.
/// </summary>
public abstract class StoreRing
{
    /// <summary>Reads a 32-bit field once; later reads of the page are not moved before it.</summary>
    public abstract uint ReadWord(int offset);

    /// <summary>Writes a 32-bit field; earlier accesses of the page are not moved behind it.</summary>
    public abstract void WriteWord(int offset, uint value);

    /// <summary>Copies bytes out of the page.</summary>
    public abstract void ReadBytes(int offset, Span<byte> destination);

    /// <summary>Copies bytes into the page.</summary>
    public abstract void WriteBytes(int offset, ReadOnlySpan<byte> source);

    /// <summary>Sends the domain an event.</summary>
    public abstract void Notify();

    /// <summary>The store uses the page and the event channel no more.</summary>
    public abstract void Close();
}
