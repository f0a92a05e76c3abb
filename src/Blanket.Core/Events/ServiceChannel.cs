namespace Blanket.Core.Events;

/// <summary>
/// The services' end of an event channel to a guest. A handle: using one after <see cref="Close"/>, or after
/// the guest has closed its port or died, does nothing. All operations take no lock of the guest and cost O(1).
/// </summary>
public readonly struct ServiceChannel
{
    private readonly uint _index;
    private readonly uint _generation;

    internal ServiceChannel(uint index, uint generation)
    {
        _index = index;
        _generation = generation;
    }

    /// <summary>Whether it was opened and the guest's port is still connected to it.</summary>
    public bool IsConnected => ServiceChannels.IsConnected(_index, _generation);

    /// <summary>The guest's port; 0 when not connected.</summary>
    public uint GuestPort => ServiceChannels.GuestPort(_index, _generation);

    /// <summary>Sends an event to the guest.</summary>
    public void Notify() => ServiceChannels.Notify(_index, _generation);

    /// <summary>
    /// Disconnects: the guest's port becomes unbound again, and the handler is not called any more, except for a call that
    /// is under way on another CPU.
    /// </summary>
    public void Close() => ServiceChannels.Close(_index, _generation);
}
