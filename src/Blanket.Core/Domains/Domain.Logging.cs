namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    private ulong _logPeriodStart;
    private uint _logLines;

    /// <summary>Whether the guest may have another line logged on its behalf: a budget a period, the rest is dropped.</summary>
    /// <param name="now">ns since boot.</param>
    /// <param name="budget">Lines a period.</param>
    /// <param name="period">ns.</param>
    public bool MayLogLine(ulong now, uint budget, ulong period)
    {
        if (now - _logPeriodStart >= period)
        {
            _logPeriodStart = now;
            _logLines = 0;
        }

        return _logLines++ < budget;
    }
}
