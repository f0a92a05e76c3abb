namespace Blanket.Core.Processor;

/// <summary>Who made the CPU, as far as guests see a difference.</summary>
public enum CpuVendor : byte
{
    /// <summary>None of the others.</summary>
    Other,

    /// <summary>"GenuineIntel", and "CentaurHauls" and "  Shanghai  ", whose leaves are the same.</summary>
    Intel,

    /// <summary>"AuthenticAMD" and "HygonGenuine".</summary>
    Amd,
}
