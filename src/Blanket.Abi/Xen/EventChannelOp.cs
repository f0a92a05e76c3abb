namespace Blanket.Abi.Xen;

/// <summary>Sub-operations of HYPERVISOR_event_channel_op (EVTCHNOP_* of xen/include/public/event_channel.h).</summary>
public static class EventChannelOp
{
    public const int BindInterdomain = 0;
    public const int BindVirq = 1;
    public const int BindPirq = 2;
    public const int Close = 3;
    public const int Send = 4;
    public const int Status = 5;
    public const int AllocateUnbound = 6;
    public const int BindIpi = 7;
    public const int BindVcpu = 8;
    public const int Unmask = 9;
    public const int Reset = 10;
    public const int InitializeControl = 11;
    public const int ExpandArray = 12;
    public const int SetPriority = 13;

    /// <summary>EVTCHNOP_reset_cont: the rest of a reset that was preempted.</summary>
    public const int ResetContinuation = 14;
}
