namespace Blanket.Store;

/// <summary>Who makes a request, and in which transaction.</summary>
internal readonly struct Caller
{
    /// <summary>Record of the client's domain.</summary>
    internal readonly int Domain;

    /// <summary>Number of the client's domain.</summary>
    internal readonly ushort Domid;

    /// <summary>Whether quotas and permissions do not apply.</summary>
    internal readonly bool IsPrivileged;

    /// <summary>The transaction, or <see cref="Link.None"/>.</summary>
    internal readonly int Transaction;

    /// <summary>A caller.</summary>
    internal Caller(int domain, ushort domid, bool isPrivileged, int transaction)
    {
        Domain = domain;
        Domid = domid;
        IsPrivileged = isPrivileged;
        Transaction = transaction;
    }

    /// <summary>Whether the request is part of a transaction.</summary>
    internal bool InTransaction => Transaction != Link.None;
}
