namespace Blanket.Abi.Xen;

/// <summary>The FIFO event channel ABI (xen/include/public/event_channel.h).</summary>
public static class EventChannelFifo
{
    /// <summary>EVTCHN_2L_NR_CHANNELS: ports of the older, two-level ABI.</summary>
    public const uint TwoLevelPorts = 4096;

    /// <summary>EVTCHN_FIFO_NR_CHANNELS.</summary>
    public const uint Ports = 1 << LinkBits;

    /// <summary>EVTCHN_FIFO_LINK_BITS: width of an event word's link to the next port of its queue.</summary>
    public const int LinkBits = 17;

    /// <summary>EVTCHN_FIFO_LINK_MASK.</summary>
    public const uint LinkMask = (1u << LinkBits) - 1;

    /// <summary>EVTCHN_FIFO_PENDING: bit number in an event word.</summary>
    public const int Pending = 31;

    /// <summary>EVTCHN_FIFO_MASKED.</summary>
    public const int Masked = 30;

    /// <summary>EVTCHN_FIFO_LINKED: the port is in a queue.</summary>
    public const int Linked = 29;

    /// <summary>EVTCHN_FIFO_BUSY: the guest must not unmask just now.</summary>
    public const int Busy = 28;

    /// <summary>EVTCHN_FIFO_PRIORITY_DEFAULT; 0 is the most urgent.</summary>
    public const byte DefaultPriority = 7;

    /// <summary>EVTCHN_FIFO_PRIORITY_MIN: the least urgent.</summary>
    public const byte LowestPriority = 15;

    /// <summary>EVTCHN_FIFO_MAX_QUEUES.</summary>
    public const int Queues = LowestPriority + 1;

    /// <summary>Event words of a page of the event array.</summary>
    public const int WordsPerPage = 4096 / sizeof(uint);

    /// <summary>Most pages of the event array.</summary>
    public const int ArrayPages = (int)Ports / WordsPerPage;

    /// <summary>Size in bytes of struct evtchn_fifo_control_block.</summary>
    public const int ControlBlockSize = 72;

    /// <summary>Offset of ready: one bit a queue.</summary>
    public const int ReadyOffset = 0;

    /// <summary>Offset of head[0].</summary>
    public const int HeadOffset = 8;
}
